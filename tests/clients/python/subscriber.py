"""Creates an org, a webhook group and a webhook; then takes one delivery, prints its event, and acknowledges it.

HOOKPLANE_API is the API's address, HOOKPLANE_TOKEN a token that may create orgs, GITHUB_WEBHOOK_SECRET what the provider signs with.
"""

import json
import os
import queue
import time

import grpc
from hookplane.v1 import org_pb2, org_pb2_grpc
from hookplane.v1 import subscription_pb2, subscription_pb2_grpc
from hookplane.v1 import webhook_group_pb2, webhook_group_pb2_grpc
from hookplane.v1 import webhook_pb2, webhook_pb2_grpc

ORG, GROUP, WEBHOOK = "python-example", "code", "pushes"
GROUP_PATH = f"orgs/{ORG}/groups/{GROUP}"

api = os.environ["HOOKPLANE_API"]
auth = [("authorization", f"Bearer {os.environ['HOOKPLANE_TOKEN']}")]
host = api.split("://")[-1]
if api.startswith("https://"):
    channel = grpc.secure_channel(host, grpc.ssl_channel_credentials())
else:
    channel = grpc.insecure_channel(host)


def create(method, request):
    """Creates it, or leaves what is there from the run before."""
    try:
        method(request, metadata=auth)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.ALREADY_EXISTS:
            raise


# 1. What people configure. A resource is metadata and spec, as in a manifest.
orgs = org_pb2_grpc.OrgServiceStub(channel)
create(orgs.CreateOrg, org_pb2.CreateOrgRequest(org={"metadata": {"name": ORG}}))

groups = webhook_group_pb2_grpc.WebhookGroupServiceStub(channel)
group = {
    "metadata": {"org": ORG, "name": GROUP},
    "spec": {
        "connector": "github",
        "signature_secrets": [{"value": os.environ["GITHUB_WEBHOOK_SECRET"]}],
        "registered_events": ["push"],
    },
}
create(
    groups.CreateWebhookGroup,
    webhook_group_pb2.CreateWebhookGroupRequest(parent=f"orgs/{ORG}", webhook_group=group),
)

webhooks = webhook_pb2_grpc.WebhookServiceStub(channel)
webhook = {
    "metadata": {"org": ORG, "group": GROUP, "name": WEBHOOK},
    "spec": {
        "label": "Pushes",
        "active": True,
        "events": ["push"],
        "destinations": [{"subscribe": {}}],
    },
}
create(webhooks.CreateWebhook, webhook_pb2.CreateWebhookRequest(parent=GROUP_PATH, webhook=webhook))

# 2. The URL for the provider, once every listener knows it.
while True:
    found = groups.GetWebhookGroup(webhook_group_pb2.GetWebhookGroupRequest(name=GROUP_PATH), metadata=auth)
    if found.status.live.applied:
        break
    time.sleep(0.2)
print("callback URL:", found.status.callback_url, flush=True)

# 3. Leases come down the stream, answers go up on it. The first thing said is which webhook.
say = queue.SimpleQueue()
say.put(
    subscription_pb2.SubscribeRequest(
        start={"webhook": f"{GROUP_PATH}/webhooks/{WEBHOOK}", "lease_seconds": 60}
    )
)
subscriptions = subscription_pb2_grpc.SubscriptionServiceStub(channel)
stream = subscriptions.Subscribe(iter(say.get, None), metadata=auth)
for lease in stream:
    # Do the work here, once per idempotency key: a delivery can come again. What fails is said with `nack`.
    print("event:", lease.event.type, lease.event.delivery_id, lease.delivery.idempotency_key)
    print("payload:", json.dumps(json.loads(lease.payload_json)), flush=True)
    say.put(subscription_pb2.SubscribeRequest(ack={"lease_token": lease.lease_token}))
    break
# No more will be said: the server takes what was, and ends the stream.
say.put(None)
for _ in stream:
    pass
