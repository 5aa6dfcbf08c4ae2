"""A client of HTTP/2 that does one thing at a time, on the `h2` package: what it sends and sees is exact."""

import contextlib
import socket
import ssl

import h2.config
import h2.connection
import h2.errors
import h2.events

GOAWAY = 7


class H2Conn:
    """One connection, in clear text with prior knowledge or (tls) encrypted."""

    def __init__(self, port, tls=None, timeout=30.0, name="localhost"):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.scheme = "http"
        if tls:
            self.scheme = "https"
            self.sock = tls.wrap_socket(self.sock, server_hostname=name)
            assert self.sock.selected_alpn_protocol() == "h2"
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="latin-1"))
        self.h2.initiate_connection()
        self.flush()
        self.streams, self.buffer = {}, b""
        self.going = None  # the last stream that is served, after GOAWAY

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def open(self, method, path, fields=(), body=None, authority="localhost"):
        """Sends the head; the stream's number. body: all of it, in as many frames as windows allow;
        None: there is none; "": it comes with `data`."""
        number = self.h2.get_next_available_stream_id()
        self.streams[number] = Answer()
        head = [(":method", method), (":scheme", self.scheme), (":path", path), (":authority", authority), *fields]
        self.h2.send_headers(number, head, end_stream=body is None)
        self.flush()
        if body:
            self.data(number, body)
        return number

    def data(self, number, body, end=True):
        view = memoryview(body)
        while view:
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size, len(view))
            if room == 0:
                self.receive()
                if self.streams[number].ended:
                    return
                continue
            self.h2.send_data(number, bytes(view[:room]))
            view = view[room:]
            self.flush()
        if end:
            self.h2.end_stream(number)
            self.flush()

    def reset(self, number, code=h2.errors.ErrorCodes.CANCEL):
        self.h2.reset_stream(number, code)
        self.flush()

    def receive(self):
        block = self.sock.recv(65536)
        if not block:
            raise EOFError("server closed the connection")
        self.buffer += block
        events = []
        while len(self.buffer) >= 9 and len(self.buffer) >= (size := 9 + int.from_bytes(self.buffer[:3], "big")):
            frame, self.buffer = self.buffer[:size], self.buffer[size:]
            if frame[3] == GOAWAY:  # the package would not take the answers that still come
                self.going = int.from_bytes(frame[9:13], "big")
            else:
                events += self.h2.receive_data(frame)
        for event in events:
            answer = self.streams.get(getattr(event, "stream_id", None))
            if isinstance(event, h2.events.InformationalResponseReceived):
                answer.interim.append(dict(event.headers))
            elif isinstance(event, h2.events.ResponseReceived):
                answer.head = list(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                answer.body += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.TrailersReceived):
                answer.trailers = dict(event.headers)
            elif isinstance(event, h2.events.StreamEnded):
                answer.ended = True
            elif isinstance(event, h2.events.StreamReset) and not answer.ended:
                answer.ended, answer.code = True, event.error_code
        with contextlib.suppress(OSError):  # the server has said goodbye
            self.flush()

    def answer(self, number):
        """Waits for the end of a response."""
        while not self.streams[number].ended:
            self.receive()
        return self.streams[number]

    def request(self, *args, **kwargs):
        return self.answer(self.open(*args, **kwargs))


class Answer:
    """A response: code is why it broke off, None if it is complete."""

    def __init__(self):
        self.head, self.body, self.trailers, self.interim = [], bytearray(), {}, []
        self.ended, self.code = False, None

    @property
    def status(self):
        return int(dict(self.head).get(":status", 0))

    @property
    def fields(self):
        return {name: value for name, value in self.head if name != ":status"}


def trusting():
    """A client's settings of TLS that take any certificate and offer HTTP/2."""
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_alpn_protocols(["h2", "http/1.1"])
    return made


def translated(data):
    """An HTTP/1.1 request as method, path, fields and body of one of HTTP/2."""
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = line.split(" ")
    fields, authority = [], "localhost"
    for one in lines:
        name, _, value = one.partition(":")
        name, value = name.lower(), value.strip()
        if name == "host":
            authority = value
        elif name == "transfer-encoding":
            whole = b""
            while (size := int(body.partition(b"\r\n")[0], 16)) > 0:
                body = body.partition(b"\r\n")[2]
                whole, body = whole + body[:size], body[size + 2 :]
            body = whole
        elif name not in ("connection", "keep-alive"):
            fields.append((name, value))
    return method, path, fields, body or None, authority
