"""Apple's App Store and Amazon SNS, whose keys come in certificates."""

import datetime

import keys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID, ObjectIdentifier
from harness import *

ROOT, OTHER_ROOT = keys.rsa("a root for tests"), keys.rsa("another root for tests")


def certificate(key, name, issuer_key, issuer="A root for tests", authority=False, extension=None):
    """The same bytes on every run: the issuer signs with RSA, and dates and serial number are fixed."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)])).public_key(key.public).serial_number(1)
        .not_valid_before(datetime.datetime(2025, 1, 1)).not_valid_after(datetime.datetime(2045, 1, 1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    if extension:
        made = made.add_extension(x509.UnrecognizedExtension(ObjectIdentifier(extension), b"\x05\x00"), critical=False)
    return made.sign(issuer_key.private, hashes.SHA256())


def pem(made):
    return made.public_bytes(serialization.Encoding.PEM).decode()


ROOT_PEM = pem(certificate(ROOT, "A root for tests", ROOT, authority=True))


# --- Amazon SNS ----------------------------------------------------------------------------------------------------------------------

SNS, SNS_OTHER = keys.rsa("sns"), keys.rsa("sns other")
SNS_AT = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-sample1.pem"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:gate"
SNS_NAME = "sns.amazonaws.com"
SIGNED = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


def sns_text(message):
    # Name and value of each that is there, each on a line of its own.
    return "".join(f"{name}\n{message[name]}\n" for name in SIGNED if message.get(name) is not None)


def sns(r, name=None):
    message = json.loads(r.body)
    version = {"1": "sha1", "2": "sha256"}[message["SignatureVersion"]]
    message["Signature"] = b64(r.key.sign(sns_text(message).encode(), name or version))
    r.body = js(message)


def sns_message(kind="Notification", version="2", **more):
    return {
        "Type": kind, "MessageId": "m1", "TopicArn": TOPIC, "Message": "Hello", "Timestamp": "2026-01-01T00:00:00.000Z", "SignatureVersion": version,
        "SigningCertURL": SNS_AT, **more,
    }


def sns_body(**more):
    return js(sns_message(**more))


TEXT = "text/plain; charset=UTF-8"
#: At "root" is the certificate that a chain may end in.
SNS_KEYS = {SNS_AT: pem(certificate(SNS, SNS_NAME, ROOT)), "root": ROOT_PEM}
SNS_WITH = dict(secret=SNS, other=SNS_OTHER, remote=True, keys=SNS_KEYS, params={"topic_arn": TOPIC})
SUBSCRIBE = "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=" + pct(TOPIC) + "&Token=t1"


def sns_changed(**changes):
    def sign(r):
        sns(r)
        r.body = js({**json.loads(r.body), **changes})
    return sign


for function, version in (("topic", "2"), ("topic-sha1", "1")):
    provider("aws-sns", function=function, sign=sns, signature="json:Signature", other_keys={**SNS_KEYS, SNS_AT: pem(certificate(SNS_OTHER, SNS_NAME, ROOT))}, goods=[
        good("a message", sns_body(version=version), TEXT, headers={"x-amz-sns-message-type": "Notification"}, type="Notification", id="m1", account=TOPIC),
        good("a subject, an umlaut, a quote and line feeds", sns_body(version=version, MessageId="m2", Subject="Zürich 12.50", Message='{"a":"b\\n"}\n\n'), TEXT, type="Notification", id="m2"),
        good("a subject that is null", sns_body(version=version, MessageId="m3", Subject=None), TEXT, type="Notification", id="m3"),
        good("a subscription ended", sns_body(kind="UnsubscribeConfirmation", version=version, Token="t1", SubscribeURL=SUBSCRIBE), TEXT, type="UnsubscribeConfirmation"),
        good("subscription", sns_body(kind="SubscriptionConfirmation", version=version, Token="t1", SubscribeURL=SUBSCRIBE), TEXT, expect="handshake", reply_status=200),
        good("a topic that isn't ours", sns_body(version=version, TopicArn=TOPIC + "2"), TEXT, expect="signature"),
    ], **SNS_WITH)
    for name, changes in (
        ("another message", {"Message": "Bye"}), ("another id", {"MessageId": "m9"}), ("a subject added", {"Subject": "Hello"}), ("another time", {"Timestamp": "2026-01-01T00:00:01.000Z"}),
    ):
        provider("aws-sns", function=function, sign=sns_changed(**changes), goods=[good(name, sns_body(version=version), TEXT, expect="signature")], **SNS_WITH)
provider("aws-sns", function="topic", sign=lambda r: sns(r, "sha1"), goods=[good("SHA-1 under version 2", sns_body(), TEXT, expect="signature")], **SNS_WITH)
provider("aws-sns", function="topic", sign=sns, goods=[
    good("version 1", sns_body(version="1"), TEXT, expect="signature"),
    good("an unsigned subscription", sns_body(kind="SubscriptionConfirmation", Token="t1", SubscribeURL=SUBSCRIBE), TEXT, signed=False, expect="signature"),
    good("raw delivery, which has no signature", "Hello", TEXT, headers={"x-amz-sns-rawdelivery": "true"}, signed=False, expect=None),
], **SNS_WITH)
provider("aws-sns", function="topic", sign=sns_changed(SubscribeURL="https://evil.example.com/"), goods=[
    good("another URL to confirm at", sns_body(kind="SubscriptionConfirmation", Token="t1", SubscribeURL=SUBSCRIBE), TEXT, expect="signature"),
], **SNS_WITH)
for at, what in (
    ("https://sns.eu-central-1.amazonaws.com.example.com/SimpleNotificationService-sample1.pem", "a certificate of another host"),
    ("https://evil.example.com/sns.eu-central-1.amazonaws.com/SimpleNotificationService-sample1.pem", "a certificate of another host whose path looks right"),
    ("https://sns.eu-central-1.amazonaws.com@evil.example.com/SimpleNotificationService-sample1.pem", "a user name that looks like the host"),
    ("https://bucket.s3.amazonaws.com/SimpleNotificationService-sample1.pem", "a bucket of anybody"),
    ("http://sns.eu-central-1.amazonaws.com/SimpleNotificationService-sample1.pem", "a certificate that isn't fetched over TLS"),
    ("https://sns.eu-central-1.amazonaws.com/other.pem", "a certificate in another place"),
    ("https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-sample1.txt", "a certificate that isn't called .pem"),
):
    provider("aws-sns", function="topic", sign=sns, goods=[good(what, sns_body(SigningCertURL=at), TEXT, expect="signature")],
        **{**SNS_WITH, "keys": {at: SNS_KEYS[SNS_AT], "root": ROOT_PEM}})
for found, what in (
    (certificate(SNS, "sns.example.com", ROOT), "a certificate for another name"),
    (certificate(SNS, SNS_NAME, OTHER_ROOT, "Another root"), "a certificate that nobody vouches for"),
    (certificate(SNS, SNS_NAME, SNS, SNS_NAME), "a certificate that vouches for itself"),
):
    provider("aws-sns", function="topic", sign=sns, goods=[good(what, sns_body(), TEXT, expect="signature")], **{**SNS_WITH, "keys": {SNS_AT: pem(found), "root": ROOT_PEM}})


def aws_message(message):
    return sns_body(Message=json.dumps(message))


for function, message, kind in (
    ("ses-events", {"eventType": "Delivery", "mail": {"messageId": "x"}}, "Delivery"),
    ("ses-events", {"notificationType": "Bounce", "mail": {"messageId": "x"}}, "Bounce"),
    ("s3-events", {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {"key": "Z%C3%BCrich+a.txt"}}}]}, "ObjectCreated:Put"),
    ("s3-events", {"Service": "Amazon S3", "Event": "s3:TestEvent"}, "s3:TestEvent"),
    ("cloudwatch-alarms", {"AlarmName": "gate", "NewStateValue": "ALARM"}, "ALARM"),
):
    provider("aws-sns", function=function, sign=sns, goods=[good(f"{kind} through a topic", aws_message(message), TEXT, type=kind, id="m1", account=TOPIC)], **SNS_WITH)


# --- Apple ---------------------------------------------------------------------------------------------------------------------------
# Only Apple can sign a good one: what follows are those that look like it and must be refused.

APPLE = keys.p256("apple app store")
LEAF, BETWEEN = "1.2.840.113635.100.6.11.1", "1.2.840.113635.100.6.2.1"


def apple(claims=None, chain=True, algorithm="ES256"):
    def sign(r):
        own = certificate(APPLE, "Prod ECC Mac App Store and iTunes Store Receipt Signing", ROOT, "Apple Worldwide Developer Relations Certification Authority", extension=LEAF)
        root = certificate(ROOT, "Apple Root CA - G3", ROOT, "Apple Root CA - G3", authority=True, extension=BETWEEN)
        x5c = [b64(one.public_bytes(serialization.Encoding.DER)) for one in (own, root)]
        header = {"x5c": x5c} if chain else {"jwk": APPLE.jwk()}
        said = {"notificationType": "TEST", "notificationUUID": "n1", "data": {"bundleId": "com.example.gate"}, **(claims or {})}
        key = {"ES256": APPLE.jose, "none": lambda data: b""}[algorithm]
        r.body = js({"signedPayload": jwt(algorithm, key, said, header)})
    return sign


APPLE_WITH = dict(remote=True, params={"bundle_id": "com.example.gate"})
for what, sign in (
    ("a chain that ends in another root of the same name", apple()),
    ("a key instead of a chain", apple(chain=False)),
    ("no signature", apple(algorithm="none")),
):
    provider("apple-app-store", sign=sign, goods=[good(what, "{}", expect="signature")], **APPLE_WITH)
provider("apple-app-store", sign=apple(), goods=[
    good("no token at all", "{}", signed=False, expect="signature"),
    good("a token that is no text", js({"signedPayload": {"notificationType": "TEST"}}), signed=False, expect="signature"),
    good("what the token says, without the token", js({"notificationType": "TEST", "notificationUUID": "n1", "data": {"bundleId": "com.example.gate"}}), signed=False, expect="signature"),
], **APPLE_WITH)
