"""The connection: time, status, subscriptions, heartbeats."""

from net.gateway import login
from net.gateway import public_methods as public
from net.gateway import session_methods as session
from net.gateway.api import Method, Param
from net.gateway.shapes.scalars import Millis
from net.gateway.shapes.session import LimitsAnswer, LoginAnswer, NodeState, Ok, VersionAnswer

_CHANNELS = Param("channels", "list of text", "names from the table of channels")

_RESUME = Param(
    "x_resume",
    "object",
    "by channel the `x_seq` of the last message that came of it: what came after it "
    "follows, if the node still has it, else a new start",
    False,
)

SESSION_ROWS = (
    Method("public/auth", login.auth,
           "WebSocket only. Says whose account the connection's reads and channels mean when they name none. Nothing "
           "is proven and nothing opened by it: reads are public, and every write is signed.",
           (Param("grant_type", "text", "`x_owner`; keys and secrets belong into `hansa gateway`"),
            Param("owner", "address", "whose account"), Param("subaccount", "integer", "default 0", False)),
           result=LoginAnswer, is_websocket_only=True),
    Method("private/logout", login.logout, "WebSocket only. Takes it back.", result=Ok,
           is_websocket_only=True),
    Method("public/test", public.test, "Answers. Also what a heartbeat's `test_request` wants to see.",
           result=VersionAnswer),
    Method("public/hello", public.hello, "Introduces a client; nothing depends on it.",
           (Param("client_name", "text", "any"), Param("client_version", "text", "any")),
           "client_name=mine&client_version=1", result=VersionAnswer),
    Method("public/get_time", public.get_time, "The node's clock in milliseconds.", result=Millis),
    Method("public/status", public.status, "Height, peers, finality and other numbers of the node.", result=NodeState),
    Method("public/x_get_limits", session.get_limits, "Credits left, how they come back, and which methods cost more.",
           result=LimitsAnswer),
    Method("public/subscribe", public.subscribe, "WebSocket only. Answers with the channels now subscribed.",
           (_CHANNELS, _RESUME), result=list[str], is_websocket_only=True),
    Method("public/unsubscribe", public.unsubscribe, "WebSocket only. Answers with the channels that were subscribed.",
           (_CHANNELS,), result=list[str], is_websocket_only=True),
    Method("public/unsubscribe_all", public.unsubscribe_all, "WebSocket only.", result=Ok, is_websocket_only=True),
    Method("private/subscribe", public.subscribe, "The same as `public/subscribe`: nothing here is secret.",
           (_CHANNELS, _RESUME), result=list[str], is_websocket_only=True),
    Method("private/unsubscribe", public.unsubscribe, "The same as `public/unsubscribe`.", (_CHANNELS,),
           result=list[str], is_websocket_only=True),
    Method("private/unsubscribe_all", public.unsubscribe_all, "The same as `public/unsubscribe_all`.", result=Ok,
           is_websocket_only=True),
    Method("public/set_heartbeat", public.set_heartbeat,
           "WebSocket only. A `test_request` every interval; the connection ends after an interval of silence.",
           (Param("interval", "integer", "seconds, at least 10", low=10, high=3600),), result=Ok,
           is_websocket_only=True),
    Method("public/disable_heartbeat", public.disable_heartbeat, "WebSocket only.", result=Ok, is_websocket_only=True),
)  # fmt: skip
