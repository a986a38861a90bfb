"""Architectures that are known by a short key: language models, encoder–decoders, networks for pictures."""
