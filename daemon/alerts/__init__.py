"""From people to alert events: zones, hours, rules, ids, and the way into the outbox."""
