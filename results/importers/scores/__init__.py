"""Readers of what benchmarks write: answers, verdicts and scores of models. Each makes a parcel and writes nothing."""
