/* A Modbus server made of libmodbus, with known values. Usage: libmodbus_server PORT | libmodbus_server /SERIAL/PORT */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
	if (argc != 2)
		return 2;
	int serial = argv[1][0] == '/';
	modbus_t *ctx = serial ? modbus_new_rtu(argv[1], 19200, 'N', 8, 1) : modbus_new_tcp("127.0.0.1", atoi(argv[1]));
	modbus_mapping_t *map = modbus_mapping_new(8, 8, 100, 20);
	if (!ctx || !map)
		return 1;
	map->tab_registers[0] = 1234;
	map->tab_registers[1] = (uint16_t)-250;
	/* Words as they go over the wire; releases of libmodbus differ in how they store floats. */
	map->tab_registers[10] = 0x42CA; /* float32 101.325, high word first */
	map->tab_registers[11] = 0xA666;
	map->tab_registers[12] = 0x0000; /* float32 -0.5, low word first */
	map->tab_registers[13] = 0xBF00;
	map->tab_registers[20] = 0x0001; /* uint32 65538 */
	map->tab_registers[21] = 0x0002;
	map->tab_input_registers[3] = 999;
	map->tab_bits[2] = 1;
	map->tab_input_bits[1] = 1;
	uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
	int n;
	if (serial) {
		modbus_set_slave(ctx, 1);
		if (modbus_connect(ctx) < 0) {
			fprintf(stderr, "open: %s\n", modbus_strerror(errno));
			return 1;
		}
		for (;;)
			if ((n = modbus_receive(ctx, query)) > 0)
				modbus_reply(ctx, query, n, map);
	}
	int listener = modbus_tcp_listen(ctx, 1);
	if (listener < 0) {
		fprintf(stderr, "listen: %s\n", modbus_strerror(errno));
		return 1;
	}
	for (;;) {
		if (modbus_tcp_accept(ctx, &listener) < 0)
			return 1;
		while ((n = modbus_receive(ctx, query)) >= 0)
			if (n > 0)
				modbus_reply(ctx, query, n, map);
		modbus_close(ctx);
	}
}
