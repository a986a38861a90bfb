"""The pages and the REST API. A view parses, calls one service and renders; nothing here computes a number."""
