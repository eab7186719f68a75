"""Training by TRL's SFTTrainer: every run on a GPU, and on a CPU what the shared loop cannot do."""
