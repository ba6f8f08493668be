"""Classifiers and regressors on features, by scikit-learn, their choice by cross-validation."""
