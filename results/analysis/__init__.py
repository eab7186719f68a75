"""What the records say: statistics, comparisons, rankings, the decision and their sentences. Only `freezing` writes.

`findings` are the frozen answers; `measurements` and `snapshot` read what they rest on; `statistics` is pure.
"""
