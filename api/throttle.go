package api

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/faultline-iot/faultline/internal/secret"
)

// Guessing passwords is made slow by account, wherever the guesses come from, and by address, whatever accounts they are for.
// An account is never locked for good: whoever guesses could lock out its owner. After its free failures
// each further one doubles the wait.

type allowance struct {
	free        int           // failures without a wait
	first, most time.Duration // waits after them
	forget      time.Duration // without a failure
}

var (
	ofAccount = allowance{free: 5, first: 2 * time.Second, most: time.Minute, forget: 30 * time.Minute}
	ofAddress = allowance{free: 20, first: 4 * time.Second, most: 15 * time.Minute, forget: time.Hour}
)

// maxFailing bounds accounts and addresses that are remembered. Beyond it those that failed longest ago are forgotten.
const maxFailing = 10_000

type failing struct {
	n    int
	last time.Time
}

type throttle struct {
	mu        sync.Mutex
	accounts  map[string]failing
	addresses map[string]failing
}

func newThrottle() *throttle {
	return &throttle{accounts: map[string]failing{}, addresses: map[string]failing{}}
}

func (a *allowance) wait(f failing, now time.Time) time.Duration {
	if f.n < a.free || now.Sub(f.last) >= a.forget {
		return 0
	}
	d := a.first << min(f.n-a.free, 20)
	return max(0, min(d, a.most)-now.Sub(f.last))
}

// wait is how long this account and address must wait before a password is looked at.
func (t *throttle) wait(account, address string, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(ofAccount.wait(t.accounts[secret.Key(account)], now), ofAddress.wait(t.addresses[address], now))
}

func (t *throttle) failed(account, address string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	count := func(m map[string]failing, key string, a *allowance) {
		f := m[key]
		if now.Sub(f.last) >= a.forget {
			f.n = 0
		}
		if _, known := m[key]; !known && len(m) >= maxFailing {
			oldest, first := "", true
			for k, v := range m {
				if first || v.last.Before(m[oldest].last) {
					oldest, first = k, false
				}
			}
			delete(m, oldest)
		}
		m[key] = failing{f.n + 1, now}
	}
	count(t.accounts, secret.Key(account), &ofAccount) // names are of any length
	count(t.addresses, address, &ofAddress)
}

// succeeded forgets the account's failures. The address's stay: it may hold an account of its own.
func (t *throttle) succeeded(account, _ string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.accounts, secret.Key(account))
}

// seconds for Retry-After, rounded up.
func seconds(d time.Duration) string {
	return strconv.Itoa(int((d + time.Second - 1) / time.Second))
}

// hashing bounds how many passwords are hashed at once, each of which takes tens of megabytes.
type hashing chan struct{}

const hashesAtOnce = 2

func (h hashing) verify(ctx context.Context, password, hashed string) (bool, error) {
	if err := h.enter(ctx); err != nil {
		return false, err
	}
	defer h.leave()
	if len(password) > 1024 {
		password = "" // no password of ours is so long
	}
	return secret.Verify(password, hashed)
}

func (h hashing) hash(ctx context.Context, password string) (string, error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	return secret.Hash(password), nil
}

func (h hashing) enter(ctx context.Context) error {
	select {
	case h <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h hashing) leave() { <-h }
