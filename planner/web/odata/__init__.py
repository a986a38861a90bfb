"""Figures for tools that speak OData 4: flat entity sets, read only, of the same cells as the CSV tables."""
