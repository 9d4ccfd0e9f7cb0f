# A Modbus TCP server made of pymodbus, with known values. Usage: pymodbus_server.py PORT
import struct
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartTcpServer


def words(fmt, value):
    raw = struct.pack(">" + fmt, value)
    return list(struct.unpack(">%dH" % (len(raw) // 2), raw))


holding = [0] * 100
holding[0] = 4711                                  # uint16
holding[1] = (-123) & 0xFFFF                       # int16, a tenth
holding[10:12] = words("f", 21.5)                  # float32 ABCD
holding[12:14] = list(reversed(words("f", -7.25)))  # float32 CDAB
holding[20:22] = words("I", 4000000000)            # uint32
holding[24:28] = words("q", -9007199254740993)     # int64
holding[30:34] = words("d", 3.141592653589793)     # float64
inputs = [0] * 20
inputs[5] = 0xBEEF
context = ModbusSlaveContext(
    di=ModbusSequentialDataBlock(0, [0, 1, 0, 1]),
    co=ModbusSequentialDataBlock(0, [1, 0, 1, 1]),
    hr=ModbusSequentialDataBlock(0, holding),
    ir=ModbusSequentialDataBlock(0, inputs),
    zero_mode=True,
)
StartTcpServer(context=ModbusServerContext(slaves={7: context}, single=False), address=("127.0.0.1", int(sys.argv[1])))
