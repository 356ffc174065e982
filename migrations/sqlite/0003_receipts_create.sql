-- What receipts are made of: whose key is whose, as the installation signed it, and what became of what was approved.

-- A retired key signs nothing more and still verifies what it signed.
alter table signing_keys add column retired_at integer;

-- A JWS of the installation. Null only for keys enrolled before this migration, until the next start.
alter table devices add column attestation text;
alter table passkeys add column attestation text;

alter table grants add column outcome text check (outcome in ('succeeded', 'failed'));
alter table grants add column outcome_detail text check (outcome_detail is null or outcome is not null);
alter table grants add column outcome_at integer
    check ((outcome is null) = (outcome_at is null) and (outcome_at is null or redeemed_at is not null));
