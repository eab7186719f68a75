"""What the records say: statistics, comparisons, rankings, and in `deciding` what to ship. Only
`deciding.freezing` writes.

`findings` are the frozen answers; `measurements` and `snapshot` read what they rest on; `statistics` is pure.
"""
