"""Time and memory of the tutorials beside PyTorch, JAX and NumPy; see docs/performance.md."""
