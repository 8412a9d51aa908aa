"""Which role has which documents, for which purpose: what `daywork role document` prints and `account check` proves.

Pure. `facts` says what documents are made of, `purposes` is the table, `probes` turns a document into questions that
prove it, `trust` judges who may take a role, `changes` tells what each version of the documents changed.
"""
