# A Modbus server made of pymodbus, with known values.
# Usage: pymodbus_server.py PORT | rtuovertcp PORT | rtu SERIAL-PORT | tls PORT CERT KEY CA
import ssl
import struct
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.device import ModbusDeviceIdentification
from pymodbus.server import StartSerialServer, StartTcpServer, StartTlsServer
from pymodbus.transaction import ModbusRtuFramer, ModbusSocketFramer


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
server = ModbusServerContext(slaves={7: context}, single=False)
identity = ModbusDeviceIdentification(info_name={"VendorName": "Pymodbus", "ProductCode": "PM", "MajorMinorRevision": "1.0"})
how, where = ("tcp", sys.argv[1]) if len(sys.argv) == 2 else sys.argv[1:3]
if how == "tcp":
    StartTcpServer(context=server, identity=identity, address=("127.0.0.1", int(where)))
elif how == "rtuovertcp":
    StartTcpServer(context=server, identity=identity, framer=ModbusRtuFramer, address=("127.0.0.1", int(where)))
elif how == "rtu":
    StartSerialServer(context=server, identity=identity, framer=ModbusRtuFramer, port=where, baudrate=19200, parity="N", stopbits=1, timeout=0.05, ignore_missing_slaves=True)
elif how == "tls":
    cert, key, ca = sys.argv[3:6]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    tls.load_verify_locations(ca)
    tls.verify_mode = ssl.CERT_REQUIRED
    StartTlsServer(context=server, identity=identity, framer=ModbusSocketFramer, address=("127.0.0.1", int(where)), sslctx=tls)
