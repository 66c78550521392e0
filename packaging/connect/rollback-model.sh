#!/bin/sh
# The flow's General Rollback: gives up a model that has not proven itself; a proven one stays.
exec /usr/bin/sitewatch-update rollback --unproven
