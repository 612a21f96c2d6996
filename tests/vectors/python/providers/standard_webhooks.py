"""How a sender signs that keeps to Standard Webhooks, or to Svix, which it came from: id, time and body, with the key in base64."""

from harness import *

WHSEC = "whsec_" + KEY_BASE64


def standard_webhooks(prefix: str = "webhook", raw_key: bool = False):
    """A `sign` function. `raw_key`: the secret is used as text, as some senders do against the specification."""

    def sign(r):
        key = r.key if raw_key else unb64(r.key.removeprefix("whsec_"))
        signed = mac("sha256", key, r.headers[f"{prefix}-id"], f".{r.now}.", r.body)
        return {f"{prefix}-timestamp": str(r.now), f"{prefix}-signature": "v1," + b64(signed)}

    return sign


def two_signatures(prefix: str = "webhook", raw_key: bool = False):
    """As while a key is being changed: an entry of another version and of another key stand before ours."""
    once = standard_webhooks(prefix, raw_key)

    def sign(r):
        added = once(r)
        name = f"{prefix}-signature"
        added[name] = f"v1a,{b64(b'a public key signature')} v1,{b64(digest('sha256', 'another key'))} {added[name]}"
        return added

    return sign


def of(connector: str, goods: list, prefix: str = "webhook", raw_key: bool = False, **rest):
    """A provider of this kind. The first good one is also sent with several signatures."""
    secret = {"secret": KEY} if raw_key else {"secret": WHSEC}
    provider(
        connector,
        sign=standard_webhooks(prefix, raw_key),
        signature=f"header:{prefix}-signature",
        covers=(f"{prefix}-id", f"{prefix}-timestamp"),
        window=(300, "both"),
        goods=goods,
        **{**secret, **rest},
    )
    first = dataclasses.replace(goods[0], name=goods[0].name + ", with several signatures")
    provider(connector, sign=two_signatures(prefix, raw_key), goods=[first], **{**secret, **rest})
