import theano_tutorials  # noqa: F401  (before any test module imports theano)
