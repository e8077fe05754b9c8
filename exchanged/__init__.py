"""Reports vocational qualification certificates to the national platform, and proves it."""

__version__ = "0.1.0"
