"""Modules by the names of the original course: what they defined, and what they printed."""
