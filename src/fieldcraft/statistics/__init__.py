"""Statistics on arrays: metrics, intervals, tests, and measures of association and drift."""
