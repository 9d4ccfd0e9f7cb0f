package modbus

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/faultline-iot/faultline"
)

// Address is where a bus is: the host of Modbus TCP, a serial server, or a serial port.
type Address struct {
	Scheme   string // "tcp", "tls", "rtuovertcp", "rtuoverudp" or "rtu"
	Target   string // host:port, or the path of the serial port
	Baud     int    // of rtu, and of the line behind rtuovertcp where it is known
	DataBits int
	Parity   string // "N", "E" or "O"
	StopBits int
}

// Default ports of Modbus TCP and of Modbus TCP in TLS.
const (
	DefaultPort    = "502"
	DefaultTLSPort = "802"
)

// ParseAddress reads "tcp://host[:port]", "tls://host[:port]", "rtuovertcp://host:port",
// "rtuoverudp://host:port" or "rtu:///dev/ttyUSB0?baud=9600&parity=even&databits=8&stopbits=1". Default of rtu: 19200 baud, 8 data
// bits, even parity, 1 stop bit, as the standard has it; without parity 2 stop bits.
func ParseAddress(s string) (Address, error) {
	refuse := func(why string) (Address, error) {
		return Address{}, fmt.Errorf("%w: address %q: %s", faultline.ErrInvalid, s, why)
	}
	u, err := url.Parse(s)
	if err != nil {
		return refuse("use tcp://host:port, rtuovertcp://host:port or rtu:///dev/…?baud=9600")
	}
	a := Address{Scheme: u.Scheme, Baud: 19200, DataBits: 8, Parity: "E"}
	switch u.Scheme {
	case "tcp", "tls", "rtuovertcp", "rtuoverudp":
		if u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.User != nil {
			return refuse("use " + u.Scheme + "://host:port")
		}
		port := u.Port()
		if port == "" {
			switch u.Scheme {
			case "tcp":
				port = DefaultPort
			case "tls":
				port = DefaultTLSPort
			default:
				return refuse("say which port the serial server listens on")
			}
		}
		a.Target = net.JoinHostPort(u.Hostname(), port)
	case "rtu":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") || len(u.Path) < 2 {
			return refuse("use rtu:///dev/ttyUSB0?baud=9600, with three slashes")
		}
		a.Target = u.Path
	case "":
		return refuse("say how: tcp://, tls://, rtuovertcp://, rtuoverudp:// or rtu://")
	default:
		return refuse("unknown scheme " + strconv.Quote(u.Scheme) + "; use tcp, tls, rtuovertcp, rtuoverudp or rtu")
	}
	if why := a.options(u.Query()); why != "" {
		return refuse(why)
	}
	return a, nil
}

func (a *Address) options(q url.Values) (why string) {
	for key, values := range q {
		if a.Scheme == "tcp" || a.Scheme == "tls" {
			return a.Scheme + " has no option " + strconv.Quote(key)
		}
		if len(values) != 1 {
			return "option " + strconv.Quote(key) + " is there twice"
		}
		v := values[0]
		n, err := strconv.Atoi(v)
		switch {
		case key == "baud" && err == nil && n >= 300 && n <= 4_000_000:
			a.Baud = n
		case key == "databits" && (v == "7" || v == "8"):
			a.DataBits = n
		case key == "stopbits" && (v == "1" || v == "2"):
			a.StopBits = n
		case key == "parity" && v == "none":
			a.Parity = "N"
		case key == "parity" && v == "even":
			a.Parity = "E"
		case key == "parity" && v == "odd":
			a.Parity = "O"
		case key == "baud" || key == "databits" || key == "stopbits" || key == "parity":
			return fmt.Sprintf("%s=%s: use baud=300…, databits=7|8, stopbits=1|2, parity=none|even|odd", key, v)
		default:
			return fmt.Sprintf("unknown option %q; there are baud, databits, stopbits, parity", key)
		}
	}
	if a.StopBits == 0 {
		a.StopBits = 1
		if a.Parity == "N" {
			a.StopBits = 2
		}
	}
	return ""
}

// String is the bus's identity: devices with the same string share one bus.
func (a Address) String() string {
	if a.Scheme == "rtu" {
		return fmt.Sprintf("rtu://%s?baud=%d&databits=%d&parity=%s&stopbits=%d", a.Target, a.Baud, a.DataBits, a.Parity, a.StopBits)
	}
	return a.Scheme + "://" + a.Target
}
