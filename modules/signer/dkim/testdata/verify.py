"""Verifies the messages of a directory with dkimpy, offline.

verify.py DIRECTORY: reads dns.json, {name: TXT value}, and each *.eml; prints
a line "FILE INDEX ok|FAILED" for each DKIM signature, or "FILE UNREADABLE", and
what dkimpy has to say about it to standard error.
"""

import glob
import json
import logging
import os
import sys

import dkim

directory = sys.argv[1]
logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
with open(os.path.join(directory, "dns.json")) as f:
    records = json.load(f)


def txt(name, timeout=5):
    if isinstance(name, bytes):
        name = name.decode()
    value = records.get(name.rstrip("."))
    return value.encode() if value else None


for path in sorted(glob.glob(os.path.join(glob.escape(directory), "*.eml"))):
    with open(path, "rb") as f:
        message = f.read()
    try:
        checker = dkim.DKIM(message, logger=logging.getLogger("dkim"))
    except dkim.MessageFormatError as e:
        print(path, e, file=sys.stderr)
        print(os.path.basename(path), "UNREADABLE")
        continue
    signatures = sum(1 for name, _ in checker.headers if name.lower() == b"dkim-signature")
    for i in range(signatures):
        try:
            ok = checker.verify(idx=i, dnsfunc=txt)
        except Exception as e:  # dkimpy raises what it cannot parse
            print(path, i, repr(e), file=sys.stderr)
            ok = False
        print(os.path.basename(path), i, "ok" if ok else "FAILED")
