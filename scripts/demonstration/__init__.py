"""The demonstration: a sample clip, a broker, the real daemon, a real subscriber."""
