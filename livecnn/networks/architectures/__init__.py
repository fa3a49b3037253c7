"""Architectures, one file for each: a class named like the file, whose arguments are the `options` of model.yaml."""
