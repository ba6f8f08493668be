"""Networks trained from scratch: an MLP, LeNet-5, any CNN, small ResNets."""
