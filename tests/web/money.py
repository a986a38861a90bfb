"""An owned asset, an exchange rate and a budget, as clients send them."""

from __future__ import annotations

ASSET = {
    "name": "Ours",
    "num_gpus": 8,
    "gpu_key": "H100-80GB-SXM",
    "currency": "USD",
    "price": "30000",
    "busy_kw": "0.7",
    "utilisation": "0.7",
}
RATE = {"base": "EUR", "quote": "USD", "rate": "1.0837", "rate_date": "2026-11-20", "source": "a bank"}
BUDGET = {
    "name": "Training, autumn",
    "currency": "USD",
    "from_month": "2026-10",
    "until_month": "2026-11",
    "job_kind": "training",
    "lines": [
        {"gpu_key": "H100-80GB-SXM", "gpu_hours": "40", "price_per_gpu_hour": "2.50"},
        {"gpu_key": "A100-80GB-SXM", "gpu_hours": "20", "price_per_gpu_hour": "1.25", "offer_kind": "spot"},
    ],
    "planned_rates": [{"currency": "EUR", "rate": "1.08"}],
}
