"""What is asked and what came back: benchmarks, subsets of them, EvalPlus's inputs, sample files, contamination."""
