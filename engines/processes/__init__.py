"""Child processes that load engines: started, spoken to, bounded in memory, replaced when they die."""
