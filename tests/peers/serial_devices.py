"""Scales and a barcode scanner on serial ports, by pyserial.

Written from tables of bytes alone, so that it is not our code that makes the bytes that our code reads.
Arguments: a folder, and `role=path of the port` for each device. What a device is to say stands in `<folder>/<role>`:
- a scale: `stable 1.234`, `motion`, `over`, `under`, `silent` or `garbage`, read anew for each request;
- the scanner: one scan a line, as hexadecimal; the file is removed when all of it has been sent.
What a scale was asked goes into `<folder>/<role>.asked`, as hexadecimal, one request a line.
"""

import os
import sys
import threading
import time

import serial

FOLDER = sys.argv[1]
SEVEN = {"bytesize": serial.SEVENBITS, "parity": serial.PARITY_EVEN}
EIGHT = {"bytesize": serial.EIGHTBITS, "parity": serial.PARITY_NONE}


def told(role):
    """What the device is to say: the words of its file."""
    try:
        with open(os.path.join(FOLDER, role), encoding="ascii") as file:
            return file.read().split()
    except FileNotFoundError:
        return []


def with_even_parity(data):
    """As an 8N1 line shows what a 7E1 device sends."""
    return bytes(byte | (0x80 if bin(byte).count("1") % 2 else 0) for byte in data)


def toledo_8217(word, kg):
    status = {"motion": 0x41, "over": 0x42, "under": 0x44}
    if word == "stable":
        return bytes([0x02]) + b"%06.3f" % kg + bytes([0x0D])
    return bytes([0x02, 0x3F, status[word], 0x0D])


def nci(word, kg):
    status = {"stable": (0x30, 0x30), "motion": (0x31, 0x30), "under": (0x30, 0x31), "over": (0x30, 0x32)}[word]
    tail = bytes([0x0A, 0x53, *status, 0x0D, 0x03])
    # Pounds, so that somebody has to convert.
    return b"\x0a" + b"%06.3fLB" % (kg / 0.45359237) + b"\x0d" + tail if word == "stable" else tail


def cas(word, kg):
    state = b"U" if word == "motion" else b"S"
    sign = {"over": b"F", "under": b"-"}.get(word, b" ")
    block = state + sign + b"%06.3f" % (kg if word == "stable" else 0.5) + b"kg"
    check = 0
    for byte in block:
        check ^= byte
    return bytes([0x01, 0x02]) + block + bytes([check, 0x03, 0x04])


def toledo_br(word, kg):
    letters = {"motion": b"IIIII", "under": b"NNNNN", "over": b"SSSSS"}
    return b"\x02" + (b"%05d" % round(kg * 1000) if word == "stable" else letters[word]) + b"\x03"


def cas_stream(word, kg):
    head = {"stable": b"ST", "motion": b"US", "over": b"OL", "under": b"ST"}[word]
    lamp = 0x84 | (0x40 if head == b"ST" else 0)
    weight = b"%08.3f" % (kg if word == "stable" else -0.5)
    return head + b",GS,1" + bytes([lamp]) + b"," + weight + b" kg\r\n"


def scale(port, role, frame):
    """Answers each request, as a scale does."""
    acknowledges = role == "cas"
    log = open(os.path.join(FOLDER, role + ".asked"), "a", encoding="ascii", buffering=1)
    while True:
        request = port.read(1)
        if not request:
            continue
        request += port.read(port.in_waiting)
        log.write(request.hex() + "\n")
        word, *kg = told(role) or ["silent"]
        if word == "silent":
            continue
        if word == "garbage":
            port.write(b"\xfe4111111111111111\r\n")
        elif acknowledges and request == b"\x05":
            port.write(b"\x06")
        else:
            answer = frame(word, float(kg[0]) if kg else 0.0)
            port.write(with_even_parity(answer) if role == "toledo_8217" else answer)


def indicator(port, role, frame):
    """Talks without being asked."""
    while True:
        word, *kg = told(role) or ["silent"]
        if word == "garbage":
            port.write(b"\xfe4111111111111111\r\n")
        elif word != "silent":
            port.write(frame(word, float(kg[0]) if kg else 0.0))
        time.sleep(0.05)
        # After a hang-up this raises.
        assert port.in_waiting == 0, "somebody wrote to a device that only talks"


def scanner(port, role, _):
    """Sends what it is told, scan by scan."""
    path = os.path.join(FOLDER, role)
    while True:
        scans = told(role)
        for scan in scans:
            port.write(bytes.fromhex(scan))
            port.flush()
            # Longer than a pause that ends a scan.
            time.sleep(0.15)
        if scans:
            os.remove(path)
        time.sleep(0.02)
        assert port.in_waiting == 0, "somebody wrote to a device that only talks"


ROLES = {
    "toledo_8217": (scale, toledo_8217, SEVEN),
    "nci": (scale, nci, SEVEN),
    "cas": (scale, cas, EIGHT),
    "toledo_br": (scale, toledo_br, EIGHT),
    "cas_stream": (indicator, cas_stream, EIGHT),
    "scanner": (scanner, None, EIGHT),
}


def plugged_in(role, path):
    """Is a device for ever: a port that has gone is opened again when it is there."""
    be, frame, line = ROLES[role]
    while True:
        try:
            with serial.Serial(path, 9600, timeout=0.2, **line) as port:
                be(port, role, frame)
        except (OSError, serial.SerialException) as error:
            print(role, error, flush=True)
            time.sleep(0.02)


threads = [threading.Thread(target=plugged_in, args=argument.split("=", 1)) for argument in sys.argv[2:]]
for thread in threads:
    thread.start()
