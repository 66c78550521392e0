"""Models change while the camera watches: loaded beside the old one, the new one takes over.

``swapper`` joins the parts: ``watcher`` sees ``current`` change, ``loader`` loads the new model in
the pauses of the loop (``quiet``), ``trial`` counts what the updater judges, ``comparison`` and
``predecessor`` put the old model's eyes beside the new one's.
"""
