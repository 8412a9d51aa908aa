"""The adapters to AWS: one a noun. Above this package no AWS code and no boto3 type travels."""
