// Package equipment simulates installed equipment as its own firmware would behave: pumps,
// compressors, chillers and meters that answer Modbus TCP, UPSs and vibration sensors that
// publish JSON over MQTT, with physics, wear and faults, repeatable from a seed.
package equipment
