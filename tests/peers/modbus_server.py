"""Modbus units of pymodbus: `modbus_server.py <units.json> <asked.jsonl> (serial <port> | tcp <host> <port>)`.

The units are a list of {unit, table, address, type, order, value}; numbers become registers by pymodbus' own conversion. What
nobody lists does not exist: an address is answered with exception 2, a unit is silent. Each request that was understood is
written down as [unit, function, address, count].
"""

import asyncio
import json
import sys

from pymodbus import FramerType
from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

TABLES = ["coil", "discrete", "holding", "input"]
TYPES = {
    "i16": ModbusClientMixin.DATATYPE.INT16,
    "u16": ModbusClientMixin.DATATYPE.UINT16,
    "i32": ModbusClientMixin.DATATYPE.INT32,
    "u32": ModbusClientMixin.DATATYPE.UINT32,
    "f32": ModbusClientMixin.DATATYPE.FLOAT32,
}


def block(value):
    if value["table"] in ("coil", "discrete"):
        return SimData(value["address"], values=[bool(value["value"])], datatype=DataType.BITS)
    number = value["value"] if value["type"] == "f32" else int(value["value"])
    registers = ModbusClientMixin.convert_to_registers(number, TYPES[value["type"]], word_order=value["order"])
    return SimData(value["address"], values=registers, datatype=DataType.REGISTERS)


def device(unit, values):
    def table(name):
        blocks = [block(value) for value in values if value["table"] == name]
        # An empty table is none to pymodbus; this one has an address that nobody asks for.
        nobody = SimData(65000, values=[False] if name in ("coil", "discrete") else [0],
                         datatype=DataType.BITS if name in ("coil", "discrete") else DataType.REGISTERS)
        return sorted(blocks, key=lambda data: data.address) + [nobody]

    return SimDevice(unit, simdata=tuple(table(name) for name in TABLES))


async def main():
    units, asked, way, *where = sys.argv[1:]
    with open(units, encoding="utf-8") as file:
        values = json.load(file)
    numbers = sorted({value["unit"] for value in values})
    devices = [device(number, [value for value in values if value["unit"] == number]) for number in numbers]
    log = open(asked, "a", encoding="utf-8", buffering=1)

    def note(sending, pdu):
        if not sending:
            print(json.dumps([pdu.dev_id, pdu.function_code, pdu.address, pdu.count]), file=log)
        return pdu

    def silence(sending, packet):
        # pymodbus answers exception 4 for a unit that nobody listed, whatever it is told of missing ones.
        unit = packet[0 if way == "serial" else 6] if sending and packet else None
        return b"" if unit is not None and unit not in numbers else packet

    if way == "serial":
        server = ModbusSerialServer(devices, framer=FramerType.RTU, port=where[0], baudrate=9600,
                                    trace_packet=silence, trace_pdu=note)
    else:
        server = ModbusTcpServer(devices, address=(where[0], int(where[1])), trace_packet=silence,
                                 trace_pdu=note)
    await server.serve_forever()


asyncio.run(main())
