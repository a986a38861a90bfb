"""The benches: one module per operation, each giving calls to time. Only the measuring child imports this package."""
