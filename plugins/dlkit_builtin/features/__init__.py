"""Deep features and scikit-learn: a frozen backbone's features into any classifier or regressor."""
