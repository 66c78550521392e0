"""A simulated fleet: many devices in few processes, with the daemon's own outbox and publisher.

Real are the outbox (a file in a folder of each device's own), the publisher (a connection, client
id and last will each), the broker, and ``scripts/jfrog-connect.py``. Simulated are what raises
events, and the agent, which speaks to the stand-in for Connect.
"""
