"""Classifiers and regressors on features, by scikit-learn, and what cross-validation says of them."""
