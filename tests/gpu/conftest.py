"""Tests that need pygpu and a device: make test-opencl runs them; without a device none is collected."""

import theano

if theano.config.device == "cpu":
    collect_ignore_glob = ["test_*.py"]
