package console

import (
	"fmt"
	"strconv"
	"strings"
)

// All texts of the console pass through text or Word: the English text is its own key, so that
// another language is a table beside this one.

// translate gives a text in the language of the pages.
func translate(s string) string { return s }

// Text gives a sentence of the pages, with its arguments, for those who make their content.
func Text(s string, args ...any) string { return text(s, args...) }

// text gives a sentence of the pages, with its arguments.
func text(s string, args ...any) string {
	if len(args) == 0 {
		return translate(s)
	}
	return fmt.Sprintf(translate(s), args...)
}

// count is a number with its noun: count 1 "alarm" "alarms" is "1 alarm".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + translate(one)
	}
	return Group(int64(n)) + " " + translate(many)
}

// Group writes thousands with narrow spaces.
func Group(n int64) string {
	s := strconv.FormatInt(n, 10)
	digits := strings.TrimPrefix(s, "-")
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	if n < 0 {
		return "-" + digits
	}
	return digits
}

// words are what the domain's values are called on the screen.
var words = map[string]string{
	"UNACK": "Active, unacknowledged", "ACKED": "Active, acknowledged", "RTNUN": "Returned, unacknowledged", "NORM": "Normal",
	"SHLVD": "Shelved", "DSUPR": "Suppressed", "OOSRV": "Out of service",
	"customers": "Customers", "sites": "Sites", "assets": "Assets", "contracts": "Contracts", "added": "Added", "changed": "Changed",
	"no_data": "No data", "ups": "UPS", "en": "English", "zh": "中文",
	"fault": "Fault", "inspection": "Inspection", "manual": "Manual", "improvement": "Improvement",
	"new": "New", "triaged": "Triaged", "scheduled": "Scheduled", "in_progress": "In progress", "waiting_customer": "Waiting for customer",
	"waiting_parts": "Waiting for parts", "resolved": "Resolved", "closed": "Closed", "cancelled": "Cancelled",
	"in_warranty": "In warranty", "in_contract": "In contract", "statutory_to_confirm": "Statutory term to confirm", "out": "Out of coverage",
	"unknown": "Unknown",
	"remote":  "Remote help first", "on_site": "Visit on site",
	"duplicate": "Duplicate of another ticket", "false_alarm": "False alarm", "wont_fix": "Will not be fixed", "withdrawn": "Withdrawn", "quote_declined": "Quote declined",
	"opened": "Opened", "moved": "Moved", "comment": "Note", "response": "To the customer", "solution_sent": "Solution sent", "diagnosis_sent": "Diagnosis sent",
	"joined": "Another alarm joined", "repeated": "Repeated", "recovered": "Back to normal", "priority": "Priority", "assigned": "Assigned", "promise": "Solution promised", "received": "Time of receipt corrected", "contract": "Contract", "escalated": "Escalated",
	"none": "No clock", "running": "Running", "overdue": "Overdue", "met": "Met", "missed": "Missed",
	"planned": "Planned", "due": "Due", "done": "Done", "skipped": "Skipped",
	"solved": "Solved", "partial": "Partly solved", "not_solved": "Not solved",
	"corrective": "Corrective", "predetermined": "Predetermined", "condition_based": "Condition-based",
	"bad": "Bad", "uncertain": "Uncertain", "good": "Good",
}

// Word is what a value of the domain is called on the screen. A word that is not known is shown as it
// is, with spaces for underscores.
func Word(v any) string {
	s := fmt.Sprint(v)
	if w, ok := words[s]; ok {
		return translate(w)
	}
	s = strings.ReplaceAll(s, "_", " ")
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// fields are what the API's fields are called on the screen.
var fields = map[string]string{
	"outcome": "Outcome", "failure_mode": "Failure mode", "detection": "How it was found", "mechanism": "Mechanism", "cause": "Cause", "functional_test": "Functional test",
	"normal_reason": "Why it may be resolved", "jobs_done": "Job list", "words": "Words for the customer", "next_plan": "What is to be done next", "owner": "Who sees to it", "next_at": "Until",
	"duplicate_of": "Number of the other ticket", "reason": "Reason", "text": "Text", "kind": "Kind", "to": "Move",
}

// Field words a message about a field of the API, such as "cause" or "cause: as far as it is known",
// with the field's name on the screen. Other messages begin with a capital.
func Field(s string) string {
	name, rest, more := strings.Cut(strings.TrimPrefix(s, "resolution."), ":")
	if n, ok := fields[name]; ok && more {
		return translate(n) + ":" + rest
	} else if ok {
		return translate(n)
	}
	if name, rest, ok := strings.Cut(name, " "); ok && fields[name] != "" && !more { // "text is empty"
		return translate(fields[name]) + " " + rest
	}
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
