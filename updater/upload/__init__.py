"""Kept pictures go to S3 with credentials that can put them there and do nothing else."""
