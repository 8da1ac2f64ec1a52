"""Validates the folder of published results that is its argument by roc-validator, offline.

It runs in an environment of its own, for mckl needs none of its packages. The JSON-LD context,
which a crate names by its address, comes from the package rocrate.
"""

import io
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

import requests
import requests_cache
import urllib3
from rocrate_validator import models, services

ADDRESS = "https://w3id.org/ro/crate/1.1/context"
CONTEXT = Path(distribution("rocrate").locate_file("rocrate/data/ro-crate.jsonld")).read_bytes()
assert ADDRESS.encode() in CONTEXT, "this version of rocrate has another context"


class Shelf(requests.adapters.HTTPAdapter):
    """Answers each request with the context."""

    def send(self, request: requests.PreparedRequest, *_: object, **__: object) -> object:
        kind = {"Content-Type": "application/ld+json"}
        body = urllib3.HTTPResponse(io.BytesIO(CONTEXT), kind, 200, preload_content=False)
        return self.build_response(request, body)


with tempfile.TemporaryDirectory() as folder:
    cache = f"{folder}/cache"
    with requests_cache.CachedSession(cache, backend="sqlite", expire_after=-1) as session:
        session.mount("https://", Shelf())
        session.get(ADDRESS)
    found = services.validate(
        services.ValidationSettings(
            rocrate_uri=sys.argv[1],
            profile_identifier="workflow-run-crate-0.5",
            requirement_severity=models.Severity.RECOMMENDED,
            cache_path=cache,
            offline=True,
        )
    )
issues = found.get_issues()
for issue in issues:
    print(
        f"{issue.severity.name} {issue.check.identifier}: {issue.message} ({issue.violatingEntity})"
    )
sys.exit(any(issue.severity >= models.Severity.REQUIRED for issue in issues))
