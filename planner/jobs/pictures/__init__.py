"""Networks for pictures by their published names, built from the layers that their papers list."""
