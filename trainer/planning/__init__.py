"""What a run will take and make, before it is begun: memory, time, forms; and rehearsals in miniature."""
