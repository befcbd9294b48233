"""The vendors' own clients, pointed at a receiver of the tests: `clients.py KIND ADDRESS SECRET EVENTS` sends a JSON file of events.

Nothing of a client is changed but where its connections go: it believes that it talks to the real host over TLS where it insists on that.
Prints one JSON object: whether the client says that all is delivered, and what it says otherwise.
"""

import asyncio
import json
import sys
import urllib.parse

TENANT = "7e4a4700-0000-4000-8000-000000000001"
CLIENT = "97ce69d9-b4be-4241-8dbd-d265edcf06c4"
RULE = "dcr-00000000000000000000000000000001"
STREAM = "Custom-EUCORA_SecurityEvents_CL"
WORKSPACE = "7e4a4700-0000-4000-8000-000000000002"
LOG_TYPE = "EUCORA_SecurityEvents"


def elsewhere(url, address):
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(("http", address, parts.path, parts.query, ""))


def logs_ingestion(address, secret, events):
    from azure.core.exceptions import HttpResponseError
    from azure.core.pipeline.transport import RequestsTransport
    from azure.identity import ClientSecretCredential
    from azure.monitor.ingestion import LogsIngestionClient

    class Elsewhere(RequestsTransport):
        def send(self, request, **kwargs):
            url, request.url = request.url, elsewhere(request.url, address)
            try:
                return super().send(request, **kwargs)
            finally:
                request.url = url

    credential = ClientSecretCredential(
        TENANT, CLIENT, secret, transport=Elsewhere(), disable_instance_discovery=True
    )
    client = LogsIngestionClient("https://dce.example", credential, transport=Elsewhere())
    try:
        client.upload(RULE, STREAM, events)
    except HttpResponseError as error:
        return {"delivered": False, "status": error.status_code}
    return {"delivered": True}


def data_collector(address, secret, events):
    from datacollectorapi import client

    post = client.requests.post
    client.requests.post = lambda url, **kwargs: post(elsewhere(url, address), **kwargs)
    answer = client.DataCollectorAPIClient(WORKSPACE, secret).post_data(LOG_TYPE, events, "Timestamp")
    return {"delivered": answer.status_code == 200, "status": answer.status_code}


def splunk(address, secret, events):
    import aiohttp
    from hass_splunk import SplunkPayloadError, hass_splunk

    host, port = address.split(":")

    async def send():
        async with aiohttp.ClientSession() as session:
            client = hass_splunk(session, secret, host, int(port), use_ssl=False)
            for event in events:
                await client.queue({"time": 1700000000.5, "host": "edge-test", "event": event}, send=False)
            try:
                return {"delivered": await client.send()}
            except SplunkPayloadError as error:
                # What it keeps, it will send again.
                return {"delivered": False, "status": error.status, "code": error.code, "keeps": len(client.batch)}

    return asyncio.run(send())


if __name__ == "__main__":
    kind, address, secret, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        events = json.load(file)
    print(json.dumps({"logs_ingestion": logs_ingestion, "data_collector": data_collector, "splunk": splunk}[kind](address, secret, events)))
