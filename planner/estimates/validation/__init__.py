"""Published (or the user's own) measurements against what the estimator says of them: rows, trials, scores."""
