#!/bin/sh
# Legacy flow: download model.zip, run this, reboot. The reboot may come while the model is on probation.
exec /usr/bin/sitewatch-update install "${1:-/tmp/model.zip}" --no-wait
