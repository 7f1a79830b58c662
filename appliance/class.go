package appliance

import (
	"regexp"
	"slices"
	"strings"
)

// A Class is what a failed attempt is about, as a person would sort it. The
// classes are few and do not depend on who answers: they are a label of
// metrics, a field of log lines, and what the queue can be searched for.
type Class string

// The classes. [Class.Words] says what each means.
const (
	ClassRecipient      Class = "recipient"
	ClassMailboxFull    Class = "mailbox_full"
	ClassDomain         Class = "domain"
	ClassSender         Class = "sender"
	ClassAuthentication Class = "authentication"
	ClassReputation     Class = "reputation"
	ClassSpam           Class = "spam"
	ClassPolicy         Class = "policy"
	ClassRate           Class = "rate"
	ClassGreylist       Class = "greylist"
	ClassSize           Class = "size"
	ClassContent        Class = "content"
	ClassTLS            Class = "tls"
	ClassDNS            Class = "dns"
	ClassConnection     Class = "connection"
	ClassProtocol       Class = "protocol"
	ClassTrouble        Class = "trouble"
	ClassLogin          Class = "login"
	ClassLoop           Class = "loop"
	ClassExpired        Class = "expired"
	ClassEnded          Class = "ended"
	ClassLocal          Class = "local"
	ClassOther          Class = "other"
)

// classes are all classes with what to say about them.
var classes = []struct {
	class         Class
	words, advice string
}{
	{ClassRecipient, "the address does not exist, or takes no mail",
		"Check the address for a typing error; if it is in a list, take it out."},
	{ClassMailboxFull, "the mailbox of the recipient is full",
		"Only the recipient can make room."},
	{ClassDomain, "the domain of the recipient does not exist, or takes no mail",
		"Check the address for a typing error."},
	{ClassSender, "the sender address is not accepted",
		"The domain of the sender address must exist and be able to take mail: look at its MX and A records."},
	{ClassAuthentication, "the receiver wants proof of where the message comes from",
		"Look at SPF, DKIM and DMARC of the sender's domain, and at the PTR record of this server's address."},
	{ClassReputation, "this server's address or domain is on a block list, or has a bad name",
		"Find out why (an account that was taken over, a list with old addresses), then ask the list or the receiver to take it off."},
	{ClassSpam, "the receiver takes the message for spam",
		"Look at what the message says and links to, and at who asked for it."},
	{ClassPolicy, "a rule of the receiver forbids the message",
		"Read its answer; its postmaster can say more."},
	{ClassRate, "the receiver gets more mail from here than it wants at a time",
		"Nothing needs to be done: it is tried again, more slowly."},
	{ClassGreylist, "the receiver asks to come back later (greylisting)",
		"Nothing needs to be done: the next attempts will do."},
	{ClassSize, "the message is too large for the receiver",
		"Send a smaller one, or a link to the attachment."},
	{ClassContent, "the receiver does not accept the form or the content of the message",
		"Its answer says what: an attachment, a header field, a character set."},
	{ClassTLS, "TLS is needed, and cannot be had as it must be",
		"It is for the receiver to mend its certificate or its TLS; only for your own servers look at tls of the relay."},
	{ClassDNS, "the DNS does not say where the mail goes",
		"If this happens with one domain it is that of the receiver; with many, look at this server's resolver."},
	{ClassConnection, "no connection, or it was lost",
		"If this happens with one domain it is down; with many, look at this server's network and whether port 25 is open for it."},
	{ClassProtocol, "the other server does not follow the protocol, or does not understand a command",
		"The dialogue shows it: waxwing queue show ID --dialogue."},
	{ClassTrouble, "the receiver has trouble of its own",
		"Nothing needs to be done here: it is tried again."},
	{ClassLogin, "the server wants other credentials than ours",
		"Look at username, password and client_certificate of the relay."},
	{ClassLoop, "the message goes round in a circle",
		"Look at the MX records of the recipient's domain, and at forwardings."},
	{ClassExpired, "it was tried until it was too old",
		"The last answer says why it could not be delivered."},
	{ClassEnded, "a person has ended its delivery", ""},
	{ClassLocal, "something is wrong on this server",
		"The log says what: look there for this id."},
	{ClassOther, "the receiver refuses it, and its answer does not say why in a known form",
		"Read its answer; its postmaster can say more."},
}

// Classes are all classes, in the order of the manual. The list is for reading:
// all callers have the same.
func Classes() []Class { return classNames }

var classNames = func() []Class {
	all := make([]Class, len(classes))
	for i, c := range classes {
		all[i] = c.class
	}
	return all
}()

// IsValid says whether there is such a class.
func (c Class) IsValid() bool { return slices.Contains(Classes(), c) }

// Words says what the class means, as the end of a sentence that begins with
// "because"; "" if there is no such class.
func (c Class) Words() string {
	words, _ := c.texts()
	return words
}

// Advice says what to do about it, in a sentence or two.
func (c Class) Advice() string {
	_, advice := c.texts()
	return advice
}

func (c Class) texts() (words, advice string) {
	for i := range classes {
		if classes[i].class == c {
			return classes[i].words, classes[i].advice
		}
	}
	return "", ""
}

var urlPattern = regexp.MustCompile(`https?://[^\s<>"']+`)

// MoreAt is the first web address in a reply, where many receivers explain
// themselves, or "".
func (r *Reply) MoreAt() string {
	return strings.TrimRight(urlPattern.FindString(r.Text), ".,;:)]}")
}
